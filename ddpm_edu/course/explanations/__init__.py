"""What a wrong answer may be explained by: one way a module, asked by `ddpm_edu.course.diagnosis`."""

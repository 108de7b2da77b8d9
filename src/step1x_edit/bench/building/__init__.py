"""A benchmark made from what people really asked for: collected, grouped, de-identified, reviewed, and written as cases."""

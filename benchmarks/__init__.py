"""What okta_hooks costs, next to what people would use instead: ``make bench``."""

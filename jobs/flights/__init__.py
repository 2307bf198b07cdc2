"""The example: will this flight arrive more than 15 minutes late, asked at its scheduled departure?"""

"""The methods: which tasks a model has and how its parts make a temperature."""

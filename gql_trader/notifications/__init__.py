"""What users are told: by mail at present."""

"""What curation would take, before anything is written."""

"""What other people's software writes, read into our records, and our records written."""

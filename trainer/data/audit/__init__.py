"""Whether data can be trusted: damage, copies, patients, shortcuts."""

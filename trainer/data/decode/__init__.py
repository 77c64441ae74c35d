"""From a file's bytes to a grey image: JPEG, PNG, DICOM."""

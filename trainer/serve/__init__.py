"""A server for an export: TensorFlow Serving's REST contract, and radiographs as files.

What is answered is what `radiograph predict` says of the same bytes. Nothing is stored, and no name
and no pixel is logged. It needs the extra `serve`.
"""

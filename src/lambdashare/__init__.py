"""λShare: temporary file sharing in which a file's hash sum is its address.

`template.yaml` declares the service, `functions/` and `layer/` are its code on AWS or cloudlet;
`cli` and `client` are what people run, `web/` is the page.
"""

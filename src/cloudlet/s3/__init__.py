"""Amazon S3: buckets, objects, multipart uploads, listings, and the settings of buckets."""

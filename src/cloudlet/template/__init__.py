"""Reads an ordinary SAM or CloudFormation template and makes the cloud be it."""

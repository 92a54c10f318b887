"""What Okta sends, and how it is read: the value objects, the rules of the protocol, the parser.

Whatever turns Okta's bytes and JSON into typed objects lives here, and this is the only folder that knows marshmallow.
Nothing here knows Flask or SQL: neither a request nor a row of the inbox, so that all of it can be used without an app.
All but ``fields`` is quick to import: marshmallow comes with that, at the first value that is not of its declared type.
"""

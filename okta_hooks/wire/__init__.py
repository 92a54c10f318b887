"""What Okta sends, and how it is read: the value objects, the rules of the protocol, the parser.

Whatever turns Okta's bytes and JSON into typed objects lives here, and this is the only folder that knows marshmallow.
Nothing here knows Flask or SQL: neither a request nor a row of the inbox, so that all of it can be used without an app.
``events`` and ``protocol`` are quick to import; ``reading`` brings marshmallow with it, and is imported when used.
"""

"use strict";
// The pages work without this: it refreshes them in place, and keeps relative times right.

"""The command line: ``haltere VERB TASK [--dotted.key value]``. One module a verb, imported when it is asked for."""

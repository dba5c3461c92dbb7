"""The promises of the core, on the UNets that the WebUIs bundle, with random weights."""

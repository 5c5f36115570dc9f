"""Programs on libraries that people use, untouched: servers, clients, and what a program starts or looks up."""

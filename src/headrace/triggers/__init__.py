"""Triggers: the events that start workflows, the variables of the instances, and the record of each match."""

"""From finished runs to numbers, tables and figures: functions of arrays, frames and networks."""

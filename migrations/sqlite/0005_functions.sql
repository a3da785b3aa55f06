-- The functions of postgres/0005_functions.sql have no counterpart here: SQLite keeps none.
select 1;

/** Rows of one transaction of the applications under test: it is in a copy as a whole or not at all. */
export const rowsEach = 5;

/* A library with nothing in it that a program calls. */
int memcpy_select_nothing(void) { return 0; }

/* The modules that are in the program itself. */
#ifndef FROZEN_H
#define FROZEN_H

/* To be called before Python starts. */
void freeze_modules(void);

/* Python starts without its library, now that it finds in the program what it imports first: so somebody must look. */
int standard_library_is_there(void);

#endif

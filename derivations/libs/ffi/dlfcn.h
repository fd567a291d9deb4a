/* There is one thing to open, the program itself, and nothing to be found in it. */
#ifndef KILN_FFI_DLFCN_H
#define KILN_FFI_DLFCN_H

#define RTLD_LAZY 1
#define RTLD_NOW 2
#define RTLD_LOCAL 0

void *dlopen(const char *name, int mode);
void *dlsym(void *library, const char *name);
int dlclose(void *library);
char *dlerror(void);

#endif

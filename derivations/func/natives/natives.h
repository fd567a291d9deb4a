/* The native modules of packages, which are linked into this program and not loaded when they are imported. */
#ifndef NATIVES_H
#define NATIVES_H

/* Makes them known to Python, which must not have started yet. 0, or -1 if there is no memory. */
int register_native_modules(void);

/* Makes `import package._module` find them: for once Python has started. 0, or -1 with an exception set. */
int make_native_modules_importable(void);

#endif

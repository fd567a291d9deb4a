/* Python.h includes it. It lies here so that whoever finds Python.h finds it, too. */
#include <../kiln-pthread/pthread.h>

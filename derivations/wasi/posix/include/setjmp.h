/* The type alone: WebAssembly without exceptions can't jump. A program that calls setjmp does not link. */
#ifndef KILN_POSIX_SETJMP_H
#define KILN_POSIX_SETJMP_H

typedef struct { long kiln_unused; } jmp_buf[1];
typedef jmp_buf sigjmp_buf;

int setjmp(jmp_buf place);
_Noreturn void longjmp(jmp_buf place, int value);

#endif

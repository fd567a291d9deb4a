#include <stdio.h>

int main(void)
{
    puts("hello from a build that saw nothing but its inputs");
    return 0;
}

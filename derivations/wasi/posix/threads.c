/*
 * POSIX threads for a program that has one thread.
 *
 * Nobody contends for a lock, so locking always succeeds; nobody could wake a waiter, so waiting returns at once, as POSIX
 * permits ("spurious wakeup"); a timed wait says that its time is over. Keys work: they are a table.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *argument) {
    (void)thread, (void)attr, (void)start, (void)argument;
    return EAGAIN;
}

int pthread_join(pthread_t thread, void **result) {
    (void)thread, (void)result;
    return ESRCH;
}

int pthread_detach(pthread_t thread) {
    (void)thread;
    return ESRCH;
}

_Noreturn void pthread_exit(void *result) {
    (void)result;
    exit(0);
}

pthread_t pthread_self(void) {
    static char the_thread;
    return (pthread_t)&the_thread;
}

int pthread_equal(pthread_t one, pthread_t other) { return one == other; }

#define ALWAYS(name, ...) \
    int name(__VA_ARGS__) { return 0; }
#pragma clang diagnostic ignored "-Wunused-parameter"

ALWAYS(pthread_attr_init, pthread_attr_t *attr)
ALWAYS(pthread_attr_destroy, pthread_attr_t *attr)
ALWAYS(pthread_attr_setstacksize, pthread_attr_t *attr, size_t size)
ALWAYS(pthread_attr_setdetachstate, pthread_attr_t *attr, int state)
ALWAYS(pthread_attr_setscope, pthread_attr_t *attr, int scope)
ALWAYS(pthread_mutex_init, pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
ALWAYS(pthread_mutex_destroy, pthread_mutex_t *mutex)
ALWAYS(pthread_mutex_lock, pthread_mutex_t *mutex)
ALWAYS(pthread_mutex_trylock, pthread_mutex_t *mutex)
ALWAYS(pthread_mutex_unlock, pthread_mutex_t *mutex)
ALWAYS(pthread_mutexattr_init, pthread_mutexattr_t *attr)
ALWAYS(pthread_mutexattr_destroy, pthread_mutexattr_t *attr)
ALWAYS(pthread_mutexattr_settype, pthread_mutexattr_t *attr, int type)
ALWAYS(pthread_cond_init, pthread_cond_t *cond, const pthread_condattr_t *attr)
ALWAYS(pthread_cond_destroy, pthread_cond_t *cond)
ALWAYS(pthread_cond_wait, pthread_cond_t *cond, pthread_mutex_t *mutex)
ALWAYS(pthread_cond_signal, pthread_cond_t *cond)
ALWAYS(pthread_cond_broadcast, pthread_cond_t *cond)
ALWAYS(pthread_condattr_init, pthread_condattr_t *attr)
ALWAYS(pthread_condattr_destroy, pthread_condattr_t *attr)
ALWAYS(pthread_condattr_setclock, pthread_condattr_t *attr, clockid_t clock)
ALWAYS(pthread_atfork, void (*prepare)(void), void (*parent)(void), void (*child)(void))

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until) {
    (void)cond, (void)mutex, (void)until;
    return ETIMEDOUT;
}

static struct {
    int used;
    const void *value;
} keys[PTHREAD_KEYS_MAX];

int pthread_key_create(pthread_key_t *key, void (*destructor)(void *)) {
    (void)destructor; /* runs when a thread ends, and the only thread ends with the program */
    for (unsigned i = 0; i < PTHREAD_KEYS_MAX; i++) {
        if (!keys[i].used) {
            keys[i].used = 1;
            keys[i].value = NULL;
            *key = i;
            return 0;
        }
    }
    return EAGAIN;
}

int pthread_key_delete(pthread_key_t key) {
    if (key >= PTHREAD_KEYS_MAX || !keys[key].used)
        return EINVAL;
    keys[key].used = 0;
    return 0;
}

void *pthread_getspecific(pthread_key_t key) {
    return key < PTHREAD_KEYS_MAX && keys[key].used ? (void *)keys[key].value : NULL;
}

int pthread_setspecific(pthread_key_t key, const void *value) {
    if (key >= PTHREAD_KEYS_MAX || !keys[key].used)
        return EINVAL;
    keys[key].value = value;
    return 0;
}

int pthread_once(pthread_once_t *control, void (*routine)(void)) {
    if (!*control) {
        *control = 1;
        routine();
    }
    return 0;
}

/* Two loops that time themselves, so that the start of a sandbox does not count.
 *
 *   loops syscalls COUNT        COUNT of the cheapest system call
 *   loops files ROUNDS DIR      opens, looks at, reads and closes every file of DIR
 *
 * Prints nanoseconds.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MOST_FILES 4096

static char *names[MOST_FILES];

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void syscalls(long count)
{
    for (long i = 0; i < count; i++)
        syscall(SYS_getppid);
}

static int list(const char *directory)
{
    int count = 0;
    DIR *open = opendir(directory);
    if (!open || chdir(directory))
        fail(directory);
    for (struct dirent *entry; count < MOST_FILES && (entry = readdir(open));)
        if (entry->d_type == DT_REG)
            names[count++] = strdup(entry->d_name);
    closedir(open);
    return count;
}

static void files(long rounds, int count)
{
    static char buffer[65536];
    struct stat facts;
    for (long round = 0; round < rounds; round++)
        for (int i = 0; i < count; i++) {
            int file = open(names[i], O_RDONLY | O_CLOEXEC);
            if (file < 0 || fstat(file, &facts))
                fail(names[i]);
            while (read(file, buffer, sizeof buffer) > 0)
                ;
            close(file);
        }
}

int main(int count, char **words)
{
    if (count < 3)
        return 2;
    int listed = count > 3 ? list(words[3]) : 0;
    if (count > 3 && listed == 0)
        return 3;
    long long begin = now();
    if (strcmp(words[1], "syscalls") == 0)
        syscalls(atol(words[2]));
    else
        files(atol(words[2]), listed);
    printf("%lld\n", now() - begin);
    return 0;
}

/*
 * Says how long ago the machine was reset and how long ago the kernel's clock began, in nanoseconds.
 *
 * For a machine that counts instructions (QEMU, -icount shift=0): there the time-stamp counter is 0 at reset and counts one tick per
 * instruction, which is a nanosecond of its time.
 */
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

int main(void)
{
	unsigned long long ticks = __rdtsc();
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	printf("reset %llu\nclock %lld\n", ticks, t.tv_sec * 1000000000LL + t.tv_nsec);
	return 0;
}

/* Times an operation: the median of batches, in nanoseconds, once the supervisor has had time to compile what it runs. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BATCHES 41
#define BATCH 500
#define WARM_UP 40000

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void batches(const char *name, void (*operation)(void *), void *argument)
{
	double times[BATCHES];
	for (int i = 0; i < WARM_UP; i++)
		operation(argument);
	for (int i = 0; i < BATCHES; i++) {
		struct timespec from, to;
		clock_gettime(CLOCK_MONOTONIC, &from);
		for (int j = 0; j < BATCH; j++)
			operation(argument);
		clock_gettime(CLOCK_MONOTONIC, &to);
		times[i] = ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / BATCH;
	}
	qsort(times, BATCHES, sizeof *times, compare);
	printf("%s %.0f\n", name, times[BATCHES / 2]);
}

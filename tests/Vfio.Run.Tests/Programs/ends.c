/* How programs end, as their first argument says. */
#include "common.h"
#include <signal.h>

int main(int count, char **arguments)
{
	struct by_group to = open_by_group(VFIO_TYPE1_IOMMU);
	const char *how = count > 1 ? arguments[1] : "";
	if (!strcmp(how, "exit"))
		return atoi(arguments[2]);
	if (!strcmp(how, "signal"))
		raise(atoi(arguments[2]));
	if (!strcmp(how, "environment"))
		return !getenv("PASSED_ON") || strcmp(getenv("PASSED_ON"), "yes");
	if (!strcmp(how, "pipe"))
		/* Nobody reads: what is ignored in the supervisor is not in the program. */
		for (;;)
			if (write(1, "text\n", 5) < 0)
				return 94;
	if (!strcmp(how, "wait")) {
		printf("waiting %d\n", (int)getpid());
		fflush(stdout);
		for (;;)
			pause();
	}
	return to.device < 0;
}

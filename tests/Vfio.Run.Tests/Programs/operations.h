/* Operations for tests of an iommufd (IOMMU_TEST_OP_*): 2 makes a device with a domain, 5 an access, 8 copies through one, 10 attaches elsewhere, 15 asks for a page. */
#ifndef OPERATIONS_H
#define OPERATIONS_H
#include "common.h"

static int iommu;

/* Runs one: its fields begin at byte 16 of the command, where the answer is, too. */
static int test(uint32_t op, uint32_t id, const void *fields, size_t size, uint32_t *out, size_t count)
{
	_Alignas(8) char command[72] = { 72 };
	memcpy(command + 4, &op, 4);
	memcpy(command + 8, &id, 4);
	if (size)
		memcpy(command + 16, fields, size);
	int result = ioctl(iommu, _IO(';', 0xa0), command);
	if (out)
		memcpy(out, command + 16, count * 4);
	return result;
}
#endif

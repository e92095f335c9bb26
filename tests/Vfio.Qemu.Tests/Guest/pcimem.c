/*
 * pcimem FILE OFFSET [VALUE]: reads, or writes, 32 bits of a function's memory BAR through sysfs, as any program in user space may:
 *   pcimem /sys/bus/pci/devices/0000:00:04.0/resource0 0x8 10
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: pcimem FILE OFFSET [VALUE]\n");
        return 2;
    }

    unsigned long offset = strtoul(argv[2], NULL, 0);
    unsigned long page = offset & ~4095ul;
    int fd = open(argv[1], O_RDWR | O_SYNC);
    if (fd < 0) {
        perror(argv[1]);
        return 1;
    }

    volatile uint8_t *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, page);
    if (memory == MAP_FAILED) {
        perror("mmap");
        return 1;
    }

    volatile uint32_t *reg = (volatile uint32_t *)(memory + (offset - page));
    if (argc > 3)
        *reg = strtoul(argv[3], NULL, 0);
    else
        printf("0x%08X\n", *reg);
    return 0;
}

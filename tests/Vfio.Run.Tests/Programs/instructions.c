/* Instructions on registers, compared with the same on memory: results, flags, and what they leave. */
#include "common.h"
#include <immintrin.h>

static volatile char *bar;
static _Alignas(64) char memory[256];
static int forms;

static void prepare(void)
{
	for (int i = 0; i < 256; i += 8) {
		uint64_t value = 0x0102030405060708ull * (i + 3) ^ 0x8000000080008080ull;
		memcpy(memory + i, &value, 8);
		*(volatile uint64_t *)(bar + i) = value;
	}
}

static void same(const char *name, int line)
{
	for (int i = 0; i < 256; i += 8) {
		uint64_t expected;
		memcpy(&expected, memory + i, 8);
		if (*(volatile uint64_t *)(bar + i) != expected) {
			printf("line %d: %s left %016lx at %d instead of %016lx\n", line, name, *(volatile uint64_t *)(bar + i), i, expected);
			exit(98);
		}
	}
}

/* One instruction on an address in a register, with rax and rcx in and out, and its flags. */
#define FORM(text) \
	do { \
		uint64_t a[2] = { 0x1122334455667788, 0x1122334455667788 }, c[2] = { 5, 5 }, f[2] = { 0, 0 }; \
		char *at[2] = { memory + 16, (char *)bar + 16 }; \
		prepare(); \
		for (int i = 0; i < 2; i++) \
			__asm__ volatile("xor %%r10d, %%r10d\n\t" text "\n\tpushf\n\tpop %2" \
				: "+a"(a[i]), "+c"(c[i]), "=&b"(f[i]), "+D"(at[i]) : : "memory", "cc", "rsi", "r10", "xmm0", "xmm1"); \
		if (a[0] != a[1] || c[0] != c[1] || ((f[0] ^ f[1]) & 0x8d5)) { \
			printf("line %d: %s: rax %lx and %lx, rcx %lx and %lx, flags %lx and %lx\n", __LINE__, text, a[0], a[1], c[0], c[1], f[0], f[1]); \
			exit(97); \
		} \
		same(text, __LINE__); \
		forms++; \
	} while (0)

/* A vector that goes through a register: loaded from the one place, stored to the other. */
#define VECTOR(load, store, register) \
	do { \
		_Alignas(64) char out[2][64] = { { 0 } }; \
		char *at[2] = { memory + 64, (char *)bar + 64 }; \
		prepare(); \
		for (int i = 0; i < 2; i++) \
			__asm__ volatile("pxor %%xmm0, %%xmm0\n\t" load " (%0), %%" register "\n\t" store " %%" register ", (%1)\n\t" store " %%" register ", 64(%0)" \
				: : "r"(at[i]), "r"(out[i]) : "memory", "xmm0", "xmm1"); \
		CHECK(!memcmp(out[0], out[1], 64)); \
		same(load, __LINE__); \
		forms++; \
	} while (0)

int main(void)
{
	struct by_group to = open_by_group(VFIO_TYPE1v2_IOMMU);
	enable(to.device);
	bar = map_bar0(to.device);

	FORM("movb (%%rdi), %%al"); FORM("movb (%%rdi), %%ah"); FORM("movw (%%rdi), %%ax"); FORM("movl (%%rdi), %%eax"); FORM("movq (%%rdi), %%rax");
	FORM("movb %%al, 3(%%rdi)"); FORM("movb %%ah, 3(%%rdi)"); FORM("movw %%ax, 2(%%rdi)"); FORM("movl %%eax, 4(%%rdi)"); FORM("movq %%rax, 8(%%rdi)");
	FORM("movb $0x7f, (%%rdi)"); FORM("movw $0x7fff, (%%rdi)"); FORM("movl $0x80000001, (%%rdi)"); FORM("movq $-5, (%%rdi)");
	FORM("movzbl 7(%%rdi), %%eax"); FORM("movzbw 7(%%rdi), %%ax"); FORM("movzwl 6(%%rdi), %%eax"); FORM("movsbl 7(%%rdi), %%eax"); FORM("movsbw 7(%%rdi), %%ax");
	FORM("movsbq 7(%%rdi), %%rax"); FORM("movswq 6(%%rdi), %%rax"); FORM("movslq 4(%%rdi), %%rax"); FORM("movnti %%rax, (%%rdi)"); FORM("movbe (%%rdi), %%rax");
	FORM("movl (%%rdi,%%rcx,8), %%eax"); FORM("movq -8(%%rdi,%%rcx,2), %%rax"); FORM("movq 1(%%rdi), %%rax"); FORM("movl %%eax, 3(%%rdi)");
	FORM("addl %%eax, (%%rdi)"); FORM("addq (%%rdi), %%rax"); FORM("adcb $7, (%%rdi)"); FORM("subw %%cx, (%%rdi)"); FORM("sbbq (%%rdi), %%rax");
	FORM("andl $0xff00ff, (%%rdi)"); FORM("orb %%cl, 1(%%rdi)"); FORM("xorq %%rax, (%%rdi)"); FORM("notl (%%rdi)"); FORM("negq (%%rdi)");
	FORM("incb (%%rdi)"); FORM("decl (%%rdi)"); FORM("cmpl %%eax, (%%rdi)"); FORM("cmpq $5, (%%rdi)"); FORM("testl $0x80, (%%rdi)"); FORM("testb %%al, (%%rdi)");
	FORM("lock addl %%eax, (%%rdi)"); FORM("lock incq (%%rdi)"); FORM("lock orl $1, (%%rdi)"); FORM("xchgl %%eax, (%%rdi)"); FORM("xchgb %%al, (%%rdi)");
	FORM("lock xaddq %%rax, (%%rdi)"); FORM("lock cmpxchgl %%ecx, (%%rdi)"); FORM("movl (%%rdi), %%eax\n\tlock cmpxchgl %%ecx, (%%rdi)");
	FORM("btl $3, (%%rdi)"); FORM("btsl $31, (%%rdi)"); FORM("lock btrl $7, (%%rdi)"); FORM("btcq $63, (%%rdi)"); FORM("shll $3, (%%rdi)"); FORM("sarq %%cl, (%%rdi)");
	FORM("rolw $5, (%%rdi)"); FORM("rcrb $1, (%%rdi)"); FORM("shldl $4, %%eax, (%%rdi)"); FORM("shrdq %%cl, %%rax, (%%rdi)"); FORM("bsfl (%%rdi), %%eax");
	FORM("imull (%%rdi), %%eax"); FORM("imulq $7, (%%rdi), %%rax"); FORM("popcntl (%%rdi), %%eax"); FORM("crc32l (%%rdi), %%eax"); FORM("cmovnel (%%rdi), %%eax");
	FORM("setc 5(%%rdi)"); FORM("pushq (%%rdi)\n\tpopq %%rax"); FORM("pushq %%rax\n\tpopq (%%rdi)"); FORM("cvtsi2sdq (%%rdi), %%xmm0\n\tmovq %%xmm0, %%rax");
	FORM("fildq (%%rdi)\n\tfistpq 8(%%rdi)"); FORM("movq (%%rdi), %%mm0\n\tmovq %%mm0, 8(%%rdi)\n\temms"); FORM("pinsrd $1, (%%rdi), %%xmm0\n\tpextrd $1, %%xmm0, %%eax");
	FORM("mov %%rdi, %%rsi\n\tlodsl"); FORM("lea 8(%%rdi), %%rdi\n\tstosq");

	VECTOR("movups", "movups", "xmm0"); VECTOR("movdqu", "movdqu", "xmm0"); VECTOR("movaps", "movaps", "xmm0"); VECTOR("movsd", "movsd", "xmm0");
	VECTOR("movss", "movss", "xmm0"); VECTOR("movq", "movq", "xmm0"); VECTOR("movhps", "movhps", "xmm0"); VECTOR("lddqu", "movntdq", "xmm0");
	VECTOR("paddd", "movdqa", "xmm0"); VECTOR("pxor", "movdqa", "xmm0");
	if (__builtin_cpu_supports("avx2")) {
		VECTOR("vmovdqu", "vmovdqu", "ymm0"); VECTOR("vmovaps", "vmovntps", "ymm0"); VECTOR("vpbroadcastd", "vmovdqu", "ymm0");
	}
	if (__builtin_cpu_supports("avx512f")) {
		VECTOR("vmovdqu64", "vmovdqu64", "zmm0"); VECTOR("vmovaps", "vmovaps", "zmm0");
	}

	/* Runs of bytes, also what the C library makes of copies and comparisons. */
	prepare();
	for (int direction = 0; direction < 2; direction++) {
		char *to_ = direction ? (char *)bar : memory;
		void *target = to_ + 128, *source = to_;
		long count = 16;
		__asm__ volatile("rep movsq" : "+D"(target), "+S"(source), "+c"(count) : : "memory");
		CHECK(count == 0 && target == to_ + 256 && source == to_ + 128);
	}
	same("rep movsq", __LINE__);
	char copy[256];
	memcpy(copy, (char *)bar, 256);
	CHECK(!memcmp(copy, memory, 256));
	memset(copy, 0x5a, 200);
	memcpy((char *)bar + 13, copy, 200);
	memcpy(memory + 13, copy, 200);
	same("memcpy", __LINE__);
	printf("%d forms\n", forms);
	return 0;
}

using System.Runtime.InteropServices;

namespace Vfio.Linux;

/// <summary>The general registers of a stopped thread of x86-64: <c>struct user_regs_struct</c>, field by field.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ProcessorRegisters
{
#pragma warning disable CS1591 // The names are the processor's.
    public ulong R15;
    public ulong R14;
    public ulong R13;
    public ulong R12;
    public ulong Rbp;
    public ulong Rbx;
    public ulong R11;
    public ulong R10;
    public ulong R9;
    public ulong R8;
    public ulong Rax;
    public ulong Rcx;
    public ulong Rdx;
    public ulong Rsi;
    public ulong Rdi;

    /// <summary>The number of the system call the thread is in; all ones outside of one.</summary>
    public ulong OriginalRax;
    public ulong Rip;
    public ulong Cs;
    public ulong Flags;
    public ulong Rsp;
    public ulong Ss;
    public ulong FsBase;
    public ulong GsBase;
    public ulong Ds;
    public ulong Es;
    public ulong Fs;
    public ulong Gs;
#pragma warning restore CS1591
}

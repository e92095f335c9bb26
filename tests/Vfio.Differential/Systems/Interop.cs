using System.Runtime.InteropServices;
using Vfio.Linux;

namespace Vfio.Differential;

/// <summary>Mappings as no careful program makes them, which <c>Vfio.Linux</c> therefore has not.</summary>
internal static partial class Interop
{
    public const int Shared = 1;
    public const int Private = 2;

    [LibraryImport("libc", EntryPoint = "mmap64", SetLastError = true)]
    internal static partial nint Map(nint address, nuint length, int protection, int flags, FileDescriptor descriptor, long offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    internal static partial int Unmap(nint address, nuint length);
}

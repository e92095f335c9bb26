using System.Runtime.InteropServices;

namespace Vfio.Linux;

/// <summary>The capabilities of other processes (capabilities(7)).</summary>
internal static unsafe class ProcessCapabilities
{
    private const uint Version3 = 0x20080522;

    /// <summary>Whether a process has a capability in effect; false when it is gone.</summary>
    /// <param name="processId">The process, or one of its threads.</param>
    /// <param name="capability">The capability's number, below 32.</param>
    public static bool IsEffective(int processId, int capability)
    {
        Header header = new() { Version = Version3, ProcessId = processId };
        Sets* sets = stackalloc Sets[2];

        // SAFETY: version 3 fills two elements.
        return Interop.GetCapabilities(&header, sets) == 0 && (sets[0].Effective & (1u << capability)) != 0;
    }

    /// <summary><c>struct __user_cap_header_struct</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Header
    {
        public uint Version;
        public int ProcessId;
    }

    /// <summary><c>struct __user_cap_data_struct</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Sets
    {
        public uint Effective;
        public uint Permitted;
        public uint Inheritable;
    }
}

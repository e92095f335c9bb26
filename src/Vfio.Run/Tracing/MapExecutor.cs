using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>Executes mmap of devices: what is memory is mapped as the device's memory, all else as a file that traps.</summary>
/// <remarks>The thread is stopped where the filter saw its call, and resumed by the caller.</remarks>
internal static class MapExecutor
{
    private const uint BarCount = 6;
    private const ulong MapShared = 1;
    private const ulong MapFixed = 0x10;
    private const ulong KindMask = 3;
    private const ulong ProtectionMask = 7;
    private const ulong PageMask = 4095;
    private const ulong FirstError = unchecked((ulong)-4095L);

    public static void Execute(int thread, SupervisedProcess process)
    {
        if (ThreadTracing.Read(thread, out ThreadRegisters call) != Errno.None || process.Find((int)call.R8) is not { } file)
        {
            return;
        }

        Errno error = file.Device is { } device ? Check(device, in call) : Redirect(file, ref call);
        if (error != Errno.None)
        {
            call.CallNumber = ulong.MaxValue;
            call.Rax = unchecked((ulong)-(long)(int)error);
            _ = ThreadTracing.Write(thread, in call);
            return;
        }

        if (file.Device is null)
        {
            _ = ThreadTracing.Write(thread, in call);
            return;
        }

        // The call itself first: the kernel chooses the place, and what is no memory stays as it is.
        if (!RunToEnd(thread, isInside: true) || ThreadTracing.Read(thread, out ThreadRegisters done) != Errno.None || done.Rax >= FirstError)
        {
            return;
        }

        ulong length = (call.Rsi + PageMask) & ~PageMask;
        foreach (DeviceMemory.Part part in file.Memory?.Find(call.R9, length) ?? [])
        {
            ulong start = Math.Max(part.Position, call.R9);
            ulong end = Math.Min(part.Position + part.Length, call.R9 + length);
            if (part.Number >= 0)
            {
                _ = Call(thread, in done, SystemCall.Map, done.Rax + (start - call.R9), end - start, call.Rdx, MapShared | MapFixed, (ulong)part.Number, part.Memory.Offset + (start - part.Position));
            }
        }

        _ = ThreadTracing.Write(thread, in done);
    }

    /// <summary>Makes a call that maps memory of a virtual IOMMU one that maps that memory's own descriptor.</summary>
    private static Errno Redirect(OpenFile file, ref ThreadRegisters call)
    {
        MapRequest request = new(call.R9, call.Rsi, (MemoryProtection)(call.Rdx & ProtectionMask), (call.R10 & KindMask) is MapShared or KindMask);
        if (file.Context is not { } context)
        {
            Errno refused = file.File.Map(in request, out MappableMemory memory);
            memory.Lease?.Dispose();
            return refused == Errno.None ? Errno.ENODEV : refused;
        }

        Errno error = context.TryMap(in request, out int number, out ulong offset);
        if (error == Errno.None)
        {
            call.R8 = (ulong)number;
            call.R9 = offset;
        }

        return error;
    }

    private static Errno Check(VfioDeviceFile device, in ThreadRegisters call)
    {
        uint index = PciLayout.Region(call.R9);
        RegionInfoText region = new();
        IoResult asked = region.Ask(device, index);
        if (asked.IsError)
        {
            return asked.Error;
        }

        ulong offset = call.R9 - region.Offset;
        bool fits = index < BarCount && region.Size > PageMask && region.IsAccessible && call.Rsi > 0 && offset <= region.Size && call.Rsi <= region.Size - offset;
        return fits && (call.R10 & KindMask) is MapShared or KindMask ? Errno.None : Errno.EINVAL;
    }

    /// <summary>Makes the thread, which has just ended a call, make another one from the same place.</summary>
    /// <returns>Its result.</returns>
    private static ulong Call(int thread, in ThreadRegisters at, int number, ulong first, ulong second, ulong third, ulong fourth, ulong fifth, ulong sixth)
    {
        ThreadRegisters call = at;
        call.Rip -= 2;
        call.Rax = (ulong)number;
        call.Rdi = first;
        call.Rsi = second;
        call.Rdx = third;
        call.R10 = fourth;
        call.R8 = fifth;
        call.R9 = sixth;
        return ThreadTracing.Write(thread, in call) == Errno.None && RunToEnd(thread, isInside: false) && ThreadTracing.Read(thread, out ThreadRegisters done) == Errno.None
            ? done.Rax
            : ulong.MaxValue;
    }

    /// <summary>Runs a call to its end.</summary>
    /// <param name="thread">The thread.</param>
    /// <param name="isInside">Whether it is in the call already.</param>
    private static bool RunToEnd(int thread, bool isInside)
    {
        while (ThreadTracing.ResumeToSystemCall(thread) == Errno.None && ThreadTracing.Wait(thread, out int status) == thread && (status & 0xFF) == 0x7F)
        {
            if (((status >> 8) & 0xFF) == ThreadTracing.SystemCallStop)
            {
                if (isInside)
                {
                    return true;
                }

                isInside = true;
            }
        }

        return false;
    }
}

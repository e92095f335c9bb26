using System.Diagnostics;
using Vfio.Iommu;
using Vfio.Pci;

namespace Vfio.Devices.Bench;

/// <summary>The registers of BAR 0, all of them accessible with any width.</summary>
/// <param name="dma">The memory that the user mapped.</param>
[RegisterFile("bench", Size = 0x150)]
internal sealed partial class BenchRegisters(DmaSpace dma)
{
    // A guest bounds neither the memory nor the time that a command takes beyond these.
    private const ulong MaximumLength = 4 << 20;
    private const ulong MaximumIterations = 100_000_000;
    private byte[] _buffer = [];

    [Register(0x000, Count = 32, Widths = RegisterWidths.All, AfterWrite = nameof(CountWrite), Description = "reads what was written")]
    public partial Span<ulong> Scratch { get; }

    [Register(0x100, Widths = RegisterWidths.All, Description = "DMA address")]
    public partial ulong Address { get; }

    [Register(0x108, Widths = RegisterWidths.All, Description = "bytes an operation, at most 4 MiB")]
    public partial ulong Length { get; }

    [Register(0x110, Widths = RegisterWidths.All, Description = "operations to run, at most 100 million")]
    public partial ulong Iterations { get; }

    [Register(0x118, Widths = RegisterWidths.All, Description = "how many regions random addresses spread over")]
    public partial ulong Regions { get; }

    [Register(0x120, Widths = RegisterWidths.All, Description = "distance between their starts")]
    public partial ulong Stride { get; }

    [Register(0x128, Widths = RegisterWidths.All, AfterWrite = nameof(Run))]
    public partial ulong Command { get; }

    [Field(nameof(Command), 31, 0, Name = "what", Description = "runs before the write is answered")]
    private partial BenchCommand What { get; }

    [Register(0x130, Access = RegisterAccess.ReadOnly, Widths = RegisterWidths.All, Description = "time of the last command")]
    public partial ulong Nanoseconds { get; set; }

    [Register(0x138, Access = RegisterAccess.ReadOnly, Widths = RegisterWidths.All, Description = "operations that succeeded")]
    public partial ulong Succeeded { get; set; }

    [Register(0x140, Access = RegisterAccess.ReadOnly, Widths = RegisterWidths.All, Description = "of what was read, so that nothing is optimized away")]
    public partial ulong Sum { get; set; }

    [Register(0x148, Access = RegisterAccess.ReadOnly, Widths = RegisterWidths.All, Description = "writes to scratch so far")]
    public partial ulong Writes { get; set; }

    private void CountWrite(int index) => Writes++;

    private void Run()
    {
        int length = (int)Math.Min(Length, MaximumLength);
        if (_buffer.Length < length)
        {
            _buffer = new byte[length];
        }

        Span<byte> buffer = _buffer.AsSpan(0, length);
        BenchLoop loop = new(dma, What, Address, Math.Max(Regions, 1), Stride);
        long started = Stopwatch.GetTimestamp();
        loop.Run(Math.Min(Iterations, MaximumIterations), _buffer.AsSpan(0, length));
        Nanoseconds = (ulong)Stopwatch.GetElapsedTime(started).TotalNanoseconds;
        Succeeded = loop.Succeeded;
        Sum = loop.Sum;
    }
}

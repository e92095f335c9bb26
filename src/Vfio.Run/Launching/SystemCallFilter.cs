using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>The seccomp filter of the program: which of its calls come to the supervisor. All others go straight to the kernel.</summary>
/// <remarks>
/// Descriptors are known by their numbers, as a filter sees nothing else; VFIO's and iommufd's ioctls also by theirs, so that they come whatever number a
/// descriptor was duplicated to. 32-bit calls are let through.
/// </remarks>
internal static class SystemCallFilter
{
    private const ushort LoadWord = 0x20;
    private const ushort And = 0x54;
    private const ushort JumpIfEqual = 0x15;
    private const ushort JumpIfGreaterOrEqual = 0x35;
    private const ushort Return = 0x06;
    private const uint Allowed = 0x7FFF_0000;
    private const uint Traced = 0x7FF0_0000;
    private const uint Notified = 0x7FC0_0000;
    private const uint Failed = 0x0005_0000;
    private const uint NumberField = 0;
    private const uint ArchitectureField = 4;
    private const uint ArgumentsField = 16;
    private const uint X64 = 0xC000_003E;
    private const uint X32Bit = 0x4000_0000;

    /// <summary>';' as the type of an ioctl.</summary>
    private const uint IoctlType = 0xFF00;
    private const uint VfioType = (uint)';' << 8;

    /// <summary>Calls that take paths.</summary>
    private static readonly int[] s_paths =
    [
        SystemCall.Open, SystemCall.OpenAt, SystemCall.OpenAt2, SystemCall.Create, SystemCall.Stat, SystemCall.LStat, SystemCall.StatAt, SystemCall.StatX,
        SystemCall.Access, SystemCall.AccessAt, SystemCall.AccessAt2, SystemCall.ReadLink, SystemCall.ReadLinkAt, SystemCall.ChangeDirectory,
    ];

    /// <summary>Calls after which a number means something else.</summary>
    private static readonly int[] s_changes = [SystemCall.Execute, SystemCall.ExecuteAt, SystemCall.CloseRange];

    /// <summary>Calls whose first argument is a descriptor.</summary>
    private static readonly int[] s_files =
    [
        SystemCall.Read, SystemCall.Write, SystemCall.ReadAt, SystemCall.WriteAt, SystemCall.ReadVector, SystemCall.WriteVector, SystemCall.ReadVectorAt,
        SystemCall.WriteVectorAt, SystemCall.ReadVectorAt2, SystemCall.WriteVectorAt2, SystemCall.Close, SystemCall.FStat, SystemCall.Seek, SystemCall.Truncate,
        SystemCall.Allocate, SystemCall.Duplicate, SystemCall.Fcntl,
    ];

    /// <summary>Composes the filter.</summary>
    /// <param name="range">The numbers of our descriptors.</param>
    /// <param name="tracesMaps">Whether mmap of a device goes to the tracer; otherwise it comes as a notification too.</param>
    public static Interop.FilterInstruction[] Compose(DescriptorRange range, bool tracesMaps)
    {
        Program program = new();
        program.Add(LoadWord, ArchitectureField);
        program.If(JumpIfEqual, X64, null, "allow");
        program.Add(LoadWord, NumberField);
        program.If(JumpIfGreaterOrEqual, X32Bit, "allow", null);
        program.If(JumpIfEqual, SystemCall.Ioctl, "ioctl", null);
        foreach (int number in s_files)
        {
            program.If(JumpIfEqual, (uint)number, "first", null);
        }

        program.If(JumpIfEqual, SystemCall.Map, "map", null);
        program.If(JumpIfEqual, SystemCall.Duplicate2, "both", null);
        program.If(JumpIfEqual, SystemCall.Duplicate3, "both", null);
        foreach (int number in (int[])[.. s_paths, .. s_changes])
        {
            program.If(JumpIfEqual, (uint)number, "notify", null);
        }

        // What a ring does with descriptors nobody sees.
        program.If(JumpIfEqual, SystemCall.RingSetup, "fail", null);
        program.Add(Return, Allowed);

        program.Label("ioctl");
        program.Add(LoadWord, ArgumentsField + 8);
        program.Add(And, IoctlType);
        program.If(JumpIfEqual, VfioType, "notify", null);
        program.Label("first");
        program.Add(LoadWord, ArgumentsField);
        Test("notify");
        program.Label("both");
        program.Add(LoadWord, ArgumentsField + 8);
        program.If(JumpIfGreaterOrEqual, (uint)range.First, null, "from");
        program.If(JumpIfGreaterOrEqual, (uint)range.End, "from", "notify");
        program.Label("from");
        program.Add(LoadWord, ArgumentsField);
        Test("notify");
        program.Label("map");
        program.Add(LoadWord, ArgumentsField + (4 * 8));
        Test("trace");
        program.Label("trace");
        program.Add(Return, tracesMaps ? Traced : Notified);
        program.Label("fail");
        program.Add(Return, Failed | (uint)Errno.ENOSYS);
        program.Label("allow");
        program.Add(Return, Allowed);
        program.Label("notify");
        program.Add(Return, Notified);
        return program.Link();

        void Test(string label)
        {
            program.If(JumpIfGreaterOrEqual, (uint)range.First, null, "allow");
            program.If(JumpIfGreaterOrEqual, (uint)range.End, "allow", label);
        }
    }

    /// <summary>Instructions whose jumps, which only go forwards, name labels.</summary>
    private sealed class Program
    {
        private readonly List<(ushort Code, uint Value, string? True, string? False)> _instructions = [];
        private readonly Dictionary<string, int> _labels = new(StringComparer.Ordinal);

        public void Add(ushort code, uint value) => _instructions.Add((code, value, null, null));

        /// <param name="code">The comparison.</param>
        /// <param name="value">What to compare with.</param>
        /// <param name="whenTrue">Where to go; null for the next instruction.</param>
        /// <param name="whenFalse">Where to go otherwise.</param>
        public void If(ushort code, uint value, string? whenTrue, string? whenFalse) => _instructions.Add((code, value, whenTrue, whenFalse));

        public void Label(string name) => _labels.Add(name, _instructions.Count);

        public Interop.FilterInstruction[] Link()
            => [.. _instructions.Select((instruction, index) => new Interop.FilterInstruction(
                instruction.Code, Distance(index, instruction.True), Distance(index, instruction.False), instruction.Value))];

        private byte Distance(int index, string? label) => label is null ? (byte)0 : checked((byte)(_labels[label] - index - 1));
    }
}

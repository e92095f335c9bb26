using System.Runtime.InteropServices;
using System.Text;
using Vfio.Abi;

namespace Vfio.Linux;

/// <summary>Starts processes without the runtime's own bookkeeping of children, which takes notice of stops that belong to a tracer.</summary>
internal static unsafe class ProcessSpawner
{
    /// <summary>Starts a process whose signals are all as after a login: none ignored, none blocked. It gets standard input, output and error, and one descriptor more.</summary>
    /// <param name="path">The executable.</param>
    /// <param name="arguments">Its arguments, the name first.</param>
    /// <param name="environment">Its environment, as NAME=VALUE.</param>
    /// <param name="kept">A descriptor that stays open in it, under the same number.</param>
    /// <param name="processId">The process: a child of the calling thread.</param>
    public static Errno TrySpawn(string path, IReadOnlyList<byte[]> arguments, IReadOnlyList<byte[]> environment, FileDescriptor kept, out int processId)
    {
        byte* attributes = stackalloc byte[Interop.SpawnObjectSize];
        byte* actions = stackalloc byte[Interop.SpawnObjectSize];
        byte* signals = stackalloc byte[Interop.SignalSetSize];
        bool added = false;
        kept.DangerousAddRef(ref added);
        using NativeStrings argumentList = new(arguments);
        using NativeStrings environmentList = new(environment);

        // SAFETY: the objects have more room than glibc's; the lists end with a null pointer and live until the call returns.
        _ = Interop.SpawnAttributesInitialize(attributes);
        _ = Interop.SpawnActionsInitialize(actions);
        try
        {
            new Span<byte>(signals, Interop.SignalSetSize).Clear();
            _ = Interop.SpawnAttributesSetSignalMask(attributes, signals);
            new Span<byte>(signals, Interop.SignalSetSize).Fill(0xFF);
            _ = Interop.SpawnAttributesSetDefaultSignals(attributes, signals);
            _ = Interop.SpawnAttributesSetFlags(attributes, Interop.SpawnSetSignalDefault | Interop.SpawnSetSignalMask);
            int error = Interop.SpawnActionsDuplicate(actions, kept.Number, kept.Number);
            processId = 0;
            return error != 0 ? (Errno)error : (Errno)Interop.Spawn(out processId, path, actions, attributes, argumentList.Pointer, environmentList.Pointer);
        }
        finally
        {
            _ = Interop.SpawnActionsDestroy(actions);
            _ = Interop.SpawnAttributesDestroy(attributes);
            kept.DangerousRelease();
        }
    }

    /// <summary>Replaces this process's program; every thread but the calling one ends. Returns only when that fails.</summary>
    public static Errno Replace(ReadOnlySpan<byte> path, NativeStrings arguments, NativeStrings environment)
    {
        fixed (byte* name = path)
        {
            // SAFETY: the path ends with a zero; the lists end with a null pointer.
            _ = Interop.SystemCall(Interop.CallExecute, (nint)name, (nint)arguments.Pointer, (nint)environment.Pointer, 0);
            return Interop.LastError;
        }
    }

    public static byte[] Encode(string text) => Encoding.UTF8.GetBytes(text);
}

/// <summary>A list of strings as C has it.</summary>
internal sealed unsafe class NativeStrings : IDisposable
{
    private readonly byte** _pointers;
    private readonly int _count;

    public NativeStrings(IReadOnlyList<byte[]> strings)
    {
        _count = strings.Count;

        // SAFETY: room for all pointers and the null at the end; each string has room for its zero.
        _pointers = (byte**)NativeMemory.AllocZeroed((nuint)(_count + 1), (nuint)sizeof(byte*));
        for (int i = 0; i < _count; i++)
        {
            byte[] text = strings[i];
            byte* copy = (byte*)NativeMemory.AllocZeroed((nuint)text.Length + 1);
            text.CopyTo(new Span<byte>(copy, text.Length));
            _pointers[i] = copy;
        }
    }

    public byte** Pointer => _pointers;

    public void Dispose()
    {
        for (int i = 0; i < _count; i++)
        {
            NativeMemory.Free(_pointers[i]);
        }

        NativeMemory.Free(_pointers);
    }
}

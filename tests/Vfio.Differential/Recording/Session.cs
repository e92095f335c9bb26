using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Differential;

/// <summary>
/// What a scenario calls: each call is answered by a system and written down with its result. Descriptors and addresses go by name.
/// Disposing closes what is open, newest first.
/// </summary>
internal sealed partial class Session : IDisposable
{
    private const int ArgumentSize = 64 * 1024;
    private const byte Untouched = 0xEE;
    private readonly IVfioSystem _system;
    private readonly StructureText _text;
    private readonly Dictionary<int, string> _descriptors = [];
    private readonly Dictionary<string, int> _names = new(StringComparer.Ordinal);
    private readonly List<int> _open = [];
    private readonly List<UserBuffer> _buffers = [];
    private readonly List<IDisposable> _owned = [];
    private readonly Dictionary<int, EventFd> _eventFds = [];
    private readonly UserBuffer _argument = new("argument", ArgumentSize);
    private readonly UserBuffer _readOnlyArgument = new("argument", Environment.SystemPageSize, isReadOnly: true);

    public Session(IVfioSystem system)
    {
        _system = system;
        _text = new StructureText(NameOf);
    }

    /// <summary>The calls so far.</summary>
    public List<TranscriptStep> Steps { get; } = [];

    /// <summary>Opens <c>/dev/vfio/vfio</c>.</summary>
    public int Container() => Open("container", "/dev/vfio/vfio");

    /// <summary>Opens a device's group.</summary>
    public int Group(Target target = Target.A) => Open($"group {target}", _system.GroupPath(target));

    /// <summary>Opens a device's own node.</summary>
    public int Cdev(Target target = Target.A) => Open($"cdev {target}", _system.DevicePath(target));

    /// <summary>Opens <c>/dev/iommu</c>.</summary>
    public int Iommufd() => Open("iommufd", "/dev/iommu");

    /// <summary>Makes an eventfd; not a call that is compared.</summary>
    public int EventFd(uint initial = 0)
    {
        var eventFd = new EventFd(initial);
        _owned.Add(eventFd);
        int number = _system.Adopt(eventFd.Descriptor);
        _eventFds[number] = eventFd;
        Name(number, "eventfd");
        return number;
    }

    /// <summary>Makes a file of zeros in memory; not a call that is compared.</summary>
    public int MemFd(ulong size)
    {
        var file = new MemFd("memfd", size);
        _owned.Add(file);
        int number = _system.Adopt(file.Descriptor);
        Name(number, "memfd");
        return number;
    }

    /// <summary>Makes memory of the caller's; not a call that is compared.</summary>
    /// <param name="pages">Length in pages.</param>
    /// <param name="isReadOnly">Whether the caller may only read it.</param>
    public UserBuffer Memory(int pages = 1, bool isReadOnly = false)
    {
        var buffer = new UserBuffer(Unique(isReadOnly ? "read-only memory" : "memory"), pages * Environment.SystemPageSize, isReadOnly);
        _buffers.Add(buffer);
        return buffer;
    }

    /// <summary>Closes a descriptor.</summary>
    public void Close(int descriptor)
    {
        string name = NameOf(descriptor);
        Record($"close({name})", _system.Close(descriptor));
        _open.Remove(descriptor);
    }

    /// <summary>What a descriptor would not have to wait for.</summary>
    public void Poll(int descriptor)
    {
        IoResult result = _system.Poll(descriptor);
        Add($"poll({NameOf(descriptor)})", result.IsError ? result.ToString() : ((EventLoopEvents)result.Value).ToString().Replace(", ", "+", StringComparison.Ordinal));
    }

    /// <summary>Makes calls that are not written down.</summary>
    public void Quietly(Action calls)
    {
        int count = Steps.Count;
        calls();
        Steps.RemoveRange(count, Steps.Count - count);
    }

    /// <summary>Writes a value down that a scenario found, such as the contents of memory.</summary>
    public void Note(string what, string value) => Add(what, value);

    /// <summary>Writes bytes of memory down.</summary>
    public void Note(string what, ReadOnlySpan<byte> bytes) => Add(what, Convert.ToHexStringLower(bytes));

    public void Dispose()
    {
        for (int i = _open.Count - 1; i >= 0; i--)
        {
            _system.Close(_open[i]);
        }

        foreach (IDisposable owned in _owned)
        {
            owned.Dispose();
        }

        foreach (UserBuffer buffer in _buffers)
        {
            buffer.Dispose();
        }

        _argument.Dispose();
        _readOnlyArgument.Dispose();
    }

    private int Open(string name, string path)
    {
        IoResult result = _system.Open(path);
        return OpenedAs($"open({name})", name, result);
    }

    private int OpenedAs(string operation, string name, IoResult result)
    {
        if (result.IsError)
        {
            Add(operation, result.ToString());
            return -1;
        }

        int number = (int)result.Value;
        _open.Add(number);
        Add(operation, Name(number, name));
        return number;
    }

    private void Record(string operation, IoResult result, IReadOnlyList<KeyValuePair<string, string>>? fields = null) => Add(operation, result.ToString(), fields);

    private void Add(string operation, string result, IReadOnlyList<KeyValuePair<string, string>>? fields = null) => Steps.Add(new TranscriptStep(operation, result, fields ?? []));

    private string Name(int descriptor, string name) => _descriptors[descriptor] = Unique(name);

    private string Unique(string name)
    {
        int count = _names[name] = _names.GetValueOrDefault(name) + 1;
        return count == 1 ? name : $"{name} #{count}";
    }

    private string NameOf(int descriptor) => _descriptors.GetValueOrDefault(descriptor) ?? descriptor.ToString(System.Globalization.CultureInfo.InvariantCulture);

    private string? NameOf(string field, ulong value)
    {
        if (field is "fd" or "iommufd" or "data_fd" or "wakeup_eventfd" or "out_fault_fd" or "out_veventq_fd")
        {
            return value == 0 ? null : NameOf(unchecked((int)value));
        }

        if (field is "pgsizes" or "iova" or "iova_pgsizes")
        {
            return null;
        }

        foreach (UserBuffer buffer in _buffers.Append(_argument))
        {
            if (value >= buffer.Address && value - buffer.Address <= (ulong)buffer.Size)
            {
                return value == buffer.Address ? $"&{buffer.Name}" : $"&{buffer.Name}+0x{value - buffer.Address:x}";
            }
        }

        return null;
    }
}

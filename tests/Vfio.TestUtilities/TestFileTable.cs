using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.TestUtilities;

/// <summary>A caller's table with room for a few files.</summary>
public sealed class TestFileTable : FileTable
{
    public Dictionary<int, object> Files { get; } = [];

    public bool IsFull { get; set; }

    public override bool HasRoom => !IsFull;

    public override Errno TryGet(int number, out object? file) => Files.TryGetValue(number, out file) ? Errno.None : Errno.EBADF;

    public override IoResult Install(object file)
    {
        if (IsFull)
        {
            return Errno.EMFILE;
        }

        int number = 100 + Files.Count;
        Files.Add(number, file);
        return IoResult.Success(number);
    }

    public override void Remove(int number) => Files.Remove(number);
}

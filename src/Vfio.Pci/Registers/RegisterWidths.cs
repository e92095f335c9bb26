namespace Vfio.Pci;

/// <summary>Access widths that a register takes. Each flag has the width's value in bytes.</summary>
[Flags]
public enum RegisterWidths
{
    /// <summary>Only the register's own width.</summary>
    Own = 0,

    /// <summary>Single bytes.</summary>
    Byte = 1,

    /// <summary>Two bytes.</summary>
    Word = 2,

    /// <summary>Four bytes.</summary>
    Dword = 4,

    /// <summary>Eight bytes.</summary>
    Qword = 8,

    /// <summary>All widths.</summary>
    All = Byte | Word | Dword | Qword,
}

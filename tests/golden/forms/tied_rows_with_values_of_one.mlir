// Form `tied_rows_with_values_of_one`: The map of all rows weighs values that have no rows.
// Read as: full, 4 heads, scale 0.5
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 31,31],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, scale = 0.5, algorithm = "exact") : (!torch.vtensor<[2,4,31,30],f32>, !torch.vtensor<[2,4,31,30],f32>, !torch.vtensor<[2,4,31,10],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 31,31],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[3,2,31,4,10],f32>, %arg1: !torch.vtensor<[3,2,31,4,10],f32>, %arg2: !torch.vtensor<[2,31,4,10],f32>) -> !torch.vtensor<[2,31,4,10],f32> {
    %int1 = torch.constant.int 1
    %int3 = torch.constant.int 3
    %int2 = torch.constant.int 2
    %int0 = torch.constant.int 0
    %int4 = torch.constant.int 4
    %0 = torch.prim.ListConstruct %int1, %int3, %int2, %int0, %int4 : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %1 = torch.aten.permute %arg0, %0 : !torch.vtensor<[3,2,31,4,10],f32>, !torch.list<int> -> !torch.vtensor<[2,4,31,3,10],f32>
    %int-2 = torch.constant.int -2
    %int-1 = torch.constant.int -1
    %2 = torch.aten.flatten.using_ints %1, %int-2, %int-1 : !torch.vtensor<[2,4,31,3,10],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,30],f32>
    %3 = torch.aten.permute %arg1, %0 : !torch.vtensor<[3,2,31,4,10],f32>, !torch.list<int> -> !torch.vtensor<[2,4,31,3,10],f32>
    %4 = torch.aten.flatten.using_ints %3, %int-2, %int-1 : !torch.vtensor<[2,4,31,3,10],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,30],f32>
    %5 = torch.prim.ListConstruct %int0, %int2, %int1, %int3 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %6 = torch.aten.permute %arg2, %5 : !torch.vtensor<[2,31,4,10],f32>, !torch.list<int> -> !torch.vtensor<[2,4,31,10],f32>
    %7:2 = torch.operator "torch.hyper.attention"(query = %2, key = %4, value = %6, scale = 0.5, algorithm = "exact") : (!torch.vtensor<[2,4,31,30],f32>, !torch.vtensor<[2,4,31,30],f32>, !torch.vtensor<[2,4,31,10],f32>) -> (!torch.vtensor<[2,4,31,10],f32>, !torch.vtensor<[2,4,31],f32>) 
    %8 = torch.aten.permute %7#0, %5 : !torch.vtensor<[2,4,31,10],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,10],f32>
    return %8 : !torch.vtensor<[2,31,4,10],f32>
  }
}
